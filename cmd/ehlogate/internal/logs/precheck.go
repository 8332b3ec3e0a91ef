package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/maillog"
	"ehlogate/lists/maillog/logfile"
)

// precheckSize is how much of the end of a log is read to see whether it is one.
const precheckSize = 256 << 10

// ErrNoMail means that a log has lines, and none of a mail server.
var ErrNoMail = errors.New("no line of a mail server")

// Precheck returns what a Service would report of one of its logs, in the same words, and whether it can be a log at all. It
// changes nothing: daemon, the name of the program, may be running.
func Precheck(ctx context.Context, options Options, name, daemon string) error {
	switch name {
	case options.Socket:
		return server.Precheck(name, options.SocketOptions, daemon)
	case JournalName:
		newest, err := logfile.NewestInJournal(ctx)
		if err == nil && newest == "" {
			err = fmt.Errorf("%w is in the journal", ErrNoMail)
		}
		return err
	}
	file, err := logfile.OpenToFollow(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return checkContent(ctx, file)
}

func checkContent(ctx context.Context, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	begin := max(0, info.Size()-precheckSize)
	text := make([]byte, info.Size()-begin)
	n, err := file.ReadAt(text, begin)
	if err != nil && err != io.EOF {
		return err
	}
	if text = text[:n]; begin > 0 { // in a line
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	reader := maillog.NewReader(maillog.Options{}, func(*maillog.Session) {})
	if err := logfile.EachLine(ctx, bytes.NewReader(text), func(line []byte) { reader.Read(line) }); err != nil {
		return err
	}
	if s := reader.Stats(); s.Lines > 0 && s.Mail == 0 {
		return fmt.Errorf("%s: %w is in the last %d: %d of other programs, %d in no known form", file.Name(), ErrNoMail, s.Lines, s.Foreign, s.Unframed)
	}
	return nil
}
