"""The SQL engine of ruvector: the native module that the package `ruvector` loads where this one is installed."""
