"""What people may ask for: check the rules, write an intent, never touch the world."""
