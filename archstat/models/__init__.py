"""From a spec to a module, its Graph and its Report."""
