"""The CUDA layer: context, memory, streams, graphs, and the exchange of arrays with other libraries."""
