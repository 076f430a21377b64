"""Parts that the built-in models share and a plugin may use: blocks, embeddings, loss, optimisers."""
