"""Pictures: recognise, check, open, resize and write them, with libvips; knows no job."""
