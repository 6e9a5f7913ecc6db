"""Network families, one file each: `article` (the tutorial's DCGAN), `mlp`, `dcgan`."""
