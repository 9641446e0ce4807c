//! RaBitQ codes, kernels and vector indexes.
