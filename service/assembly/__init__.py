"""Parts of an instance, each put together in a module of its own; `service.bootstrap` puts them in order."""
