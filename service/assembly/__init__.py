"""Parts of the assembly that `service.bootstrap` puts together; each builds what one area needs."""
