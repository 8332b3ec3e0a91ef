package policyd

import (
	"bytes"
	"context"
	"net"
	"os"
	"slices"
	"testing"
)

// noting is lines, with something to do after each reply, for which it needs the request.
type noting struct {
	lines
	does func(what string)
}

func (n noting) Answer(ctx context.Context, in, out []byte) (int, []byte, error) {
	size, reply, err := n.lines.Answer(ctx, in, out)
	request := in[:size]
	if size > 0 && !AfterReply(ctx, func() { n.does("after " + string(bytes.TrimSpace(request))) }) {
		n.does("not served")
	}
	return size, reply, err
}

// watched says when it is read and written.
type watched struct {
	script
	does func(what string)
	fail error // of Write
}

func (w *watched) Read(b []byte) (int, error) {
	w.does("read")
	return w.script.Read(b)
}

func (w *watched) Write(b []byte) (int, error) {
	w.does("write")
	if w.fail != nil {
		return 0, w.fail
	}
	return w.script.Write(b)
}

func TestAfterReply(t *testing.T) {
	for _, tc := range []struct {
		what   string
		pieces []string
		fail   error
		want   []string
	}{
		{"one after the other", []string{"one\n", "two\n"}, nil, []string{"read", "write", "after one", "read", "write", "after two", "read"}},
		{"together", []string{"one\ntwo\nth"}, nil, []string{"read", "write", "after one", "after two", "read"}},
		{"no reply to it", []string{"quit\n"}, nil, []string{"read", "after quit"}},
		{"the client has gone", []string{"one\n", "two\n"}, net.ErrClosed, []string{"read", "write", "after one"}},
		{"the client does not read", []string{"one\n"}, os.ErrDeadlineExceeded, []string{"read", "write", "after one"}},
	} {
		var did []string
		does := func(what string) { did = append(did, what) }
		conn := &watched{does: does, fail: tc.fail}
		for _, piece := range tc.pieces {
			conn.pieces = append(conn.pieces, []byte(piece))
		}
		Serve(t.Context(), conn, noting{does: does}, func(string, []byte) {})
		if !slices.Equal(did, tc.want) {
			t.Errorf("%s: did %q, want %q", tc.what, did, tc.want)
		}
	}
	if AfterReply(t.Context(), func() { t.Error("done") }) {
		t.Error("promised where nothing is served")
	}
}
