"""One room per chapter: what a chapter alone needs. `reidkit.teach.rooms` finds them."""
