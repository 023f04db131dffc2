import time

from raw import dial

connection = dial()
connection.recv(10)
connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10 + b"\r\n")
time.sleep(3600)
