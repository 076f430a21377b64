"""Built-in plugins. They arrive through the entry points of our own distribution, like everybody's."""
