"""Parts of the assembly, one an area; only `service.bootstrap` uses them."""
