"""What travels: structs without behaviour, which orders, views, commands, handshakes and domain events are."""
