"""What to edit: facts as people type them, as files hold them, and as the embedded world offers them."""
