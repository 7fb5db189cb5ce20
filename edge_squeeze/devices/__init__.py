"""Commands run on other machines over ssh: what is sent, what runs there, and what can go wrong."""
