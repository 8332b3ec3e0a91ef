package logs

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"time"

	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/maillog"
)

const (
	// maxQueued is how many lines wait to be read: 16 MB at most. More are counted, and not read. The program that sends them
	// never waits, since the mail server may wait for it.
	maxQueued = 1000
	// floodBatch is how many datagrams are received before the service rests for floodRest, while the queue is full.
	floodBatch = 100
	floodRest  = time.Millisecond
	// bindRetry is the time between two tries to open the socket.
	bindRetry = 5 * time.Second
)

// receive reads the datagrams that rsyslogd sends, each a line, until ctx ends.
func (s *Service) receive(ctx context.Context, src *source) {
	for {
		src.begin(s.clock())
		conn, err := server.ListenDatagrams(s.options.Socket, s.options.SocketOptions)
		if err == nil {
			err = s.serveSocket(ctx, src, conn)
		}
		if ctx.Err() != nil {
			return
		}
		s.report(src, src.end(s.clock(), nil, false, err))
		if !sleep(ctx, bindRetry) {
			return
		}
	}
}

// serveSocket reads lines from a socket until ctx ends, until the socket has an error, or until its file is gone.
func (s *Service) serveSocket(ctx context.Context, src *source, conn *net.UnixConn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	opened, err := os.Lstat(s.options.Socket)
	if err != nil {
		return err
	}
	queue, failed := make(chan queued, maxQueued), make(chan error, 1)
	queue <- queued{works: true}
	go func() { failed <- s.queueLines(src, conn, queue) }()
	return s.consume(ctx, src, queue, failed, func() error {
		if now, err := os.Lstat(s.options.Socket); err != nil || !os.SameFile(now, opened) {
			return &os.PathError{Op: "listen", Path: s.options.Socket, Err: errors.New("the socket was removed or replaced, so that no program can reach it")}
		}
		return nil
	})
}

// queueLines receives datagrams until the socket is closed.
func (s *Service) queueLines(src *source, conn *net.UnixConn, queue chan<- queued) error {
	buf := make([]byte, maillog.MaxLineLength)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		line := bytes.TrimRight(buf[:n], "\x00\r\n")
		if len(queue) < cap(queue) {
			queue <- queued{line: bytes.Clone(line), works: true}
			continue
		}
		if src.dropped.Add(1)%floodBatch == 0 {
			time.Sleep(floodRest)
		}
	}
}
