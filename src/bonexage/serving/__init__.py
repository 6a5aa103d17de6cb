"""The service: films come in over HTTP, and a bone age, a report or a refusal goes out."""
