"""Commands run on other machines over ssh: what goes there, what runs there, and what can go wrong."""
