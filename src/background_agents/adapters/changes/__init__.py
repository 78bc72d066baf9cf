"""What delegations change: journals of it, images of files, working trees between two looks."""
