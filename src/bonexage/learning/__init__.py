"""A data folder becomes a bundle: PyTorch, timm and SimpleITK live here and nowhere else."""
