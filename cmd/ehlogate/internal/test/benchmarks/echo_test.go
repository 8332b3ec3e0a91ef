package benchmarks

import (
	"bytes"
	"fmt"
	"net"
)

func init() { peers["echo"] = serveEcho }

// serveEcho is the floor under every lookup protocol: a server of Go's net package
// that finds where a request ends and knows what to say. Its arguments are its
// socket, a protocol by its name in [listen], and two replies, which each
// connection gets in turn.
func serveEcho(args []string) error {
	ln, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	end, ok := frames[args[1]]
	if !ok {
		return fmt.Errorf("no framing for %q", args[1])
	}
	replies := [2][]byte{[]byte(args[2]), []byte(args[3])}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go echoOn(conn, end, replies)
	}
}

func echoOn(conn net.Conn, end func([]byte) int, replies [2][]byte) {
	defer conn.Close()
	buf := make([]byte, 4<<10)
	have := 0
	for turn := 0; ; {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		for have > 0 {
			n := end(buf[:have])
			if n == 0 {
				break
			}
			if _, err := conn.Write(replies[turn]); err != nil {
				return
			}
			turn ^= 1
			have = copy(buf, buf[n:have])
		}
	}
}

// frames give the length of the first request in what has arrived, 0 if it is
// not all there. What they are given is well-formed.
var frames = map[string]func([]byte) int{
	"memcache":  cutLine,
	"tcp_table": cutLine,
	"socketmap": func(in []byte) int {
		size := 0
		for i, b := range in {
			if b == ':' {
				if n := i + 1 + size + len(","); n <= len(in) {
					return n
				}
				return 0
			}
			size = 10*size + int(b-'0')
		}
		return 0
	},
	"policy": func(in []byte) int {
		if i := bytes.Index(in, []byte("\n\n")); i >= 0 {
			return i + len("\n\n")
		}
		return 0
	},
}

func cutLine(in []byte) int { return bytes.IndexByte(in, '\n') + 1 }
