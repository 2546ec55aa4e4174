"""What several protocols ride on, read once for all of them: no reader of its own."""
