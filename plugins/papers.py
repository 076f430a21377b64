"""BibTeX of papers that tasks come from; word for word as at the models of the same papers."""

HRM = """\
@misc{wang2025hierarchical,
  title         = {Hierarchical Reasoning Model},
  author        = {Wang, Guan and Li, Jin and Sun, Yuhao and Chen, Xing and Liu, Changling and
                   Wu, Yue and Lu, Meng and Song, Sen and Abbasi Yadkori, Yasin},
  year          = {2025},
  eprint        = {2506.21734},
  archivePrefix = {arXiv},
  primaryClass  = {cs.AI}
}"""
EQR = """\
@misc{huang2026equilibrium,
  title         = {Equilibrium Reasoners: Learning Attractors Enables Scalable Reasoning},
  author        = {Huang, Benhao and Geng, Zhengyang and Kolter, Zico},
  year          = {2026},
  eprint        = {2605.21488},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG}
}"""
