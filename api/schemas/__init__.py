"""What goes in and out over HTTP, with one function a resource that maps it to the domain."""
