"""What makes training fast on a GPU, where starting a kernel takes longer than most kernels."""
