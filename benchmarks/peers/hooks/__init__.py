"""What runs inside a program's process, so that the program itself need not be changed. Needs nothing but torch and the peer."""
