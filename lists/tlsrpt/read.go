package tlsrpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxMailbox is the most bytes of a mailbox with several messages.
const maxMailbox = 256 << 20

// maxFiles is the most files of a directory.
const maxFiles = 100_000

// Read calls each for the reports in r: a message, a mailbox (mbox), or a report itself, compressed by gzip or not.
func Read(source string, r io.Reader, each func(Item)) {
	content, err := io.ReadAll(io.LimitReader(r, maxMailbox+1))
	if err != nil {
		each(Item{Source: source, Err: err})
		return
	}
	readContent(source, content, each)
}

// ReadMessage calls each for the reports in one message, as a mail server passes it: the line of a mailbox can be before it.
// Whatever is in the message, it is not taken for a mailbox with several.
func ReadMessage(source string, r io.Reader, each func(Item)) {
	message, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err == nil && len(message) > maxMessage {
		_, _ = io.Copy(io.Discard, r) // else the mail server finds the pipe closed
		err = errTooLarge
	}
	if err != nil {
		each(Item{Source: source, Err: err})
		return
	}
	if bytes.HasPrefix(message, []byte("From ")) {
		_, message, _ = bytes.Cut(message, []byte("\n"))
	}
	readMessage(source, message, each)
}

func readContent(source string, content []byte, each func(Item)) {
	fail := func(err error) { each(Item{Source: source, Err: err}) }
	isMailbox := bytes.HasPrefix(content, []byte("From "))
	if len(content) > maxMessage && !isMailbox || len(content) > maxMailbox {
		fail(errTooLarge)
		return
	}
	isCompressed := isGzip(content)
	if isCompressed {
		var err error
		if content, err = decompress(content, maxText); err != nil {
			fail(err)
			return
		}
		isMailbox = false
	}
	start := bytes.TrimLeft(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(start) == 0:
		fail(errors.New("empty: no report"))
	case start[0] == '{' || start[0] == '[':
		report, err := Parse(content)
		if placed := new(placeError); errors.As(err, &placed) && !isCompressed {
			source, err = fmt.Sprintf("%s:%d:%d", source, placed.line, placed.column), placed.err
		}
		each(Item{Source: source, Report: report, Err: err})
	case isMailbox:
		readMailbox(source, content, each)
	default:
		readMessage(source, content, each)
	}
}

// readMailbox reads the messages of a mailbox, or the one that a mail server passes with the line of a mailbox before it.
func readMailbox(source string, content []byte, each func(Item)) {
	messages := bytes.Split(content, []byte("\n\nFrom "))
	for i, message := range messages {
		_, message, _ = bytes.Cut(message, []byte("\n")) // the line "From "
		name := source
		if len(messages) > 1 {
			name = fmt.Sprintf("%s, message %d", source, i+1)
		}
		if i < len(messages)-1 {
			message = message[:len(message):len(message)]
			message = append(message, '\n') // of the last line
		}
		if len(message) > maxMessage {
			each(Item{Source: name, Err: errTooLarge})
			continue
		}
		readMessage(name, message, each)
	}
}

// ReadPath calls each for the reports in a file, a Maildir (those in new and cur), or another directory of files.
func ReadPath(path string, each func(Item)) {
	if err := readPath(path, each); err != nil {
		each(Item{Source: path, Err: withoutPath(err)})
	}
}

func readPath(path string, each func(Item)) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return readFile(path, each)
	}
	dirs := []string{path}
	if isDir(filepath.Join(path, "cur")) && isDir(filepath.Join(path, "new")) {
		dirs = []string{filepath.Join(path, "cur"), filepath.Join(path, "new")}
	}
	files := 0
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if files++; files > maxFiles {
				return fmt.Errorf("more than %d files: the rest was not read", maxFiles)
			}
			name := filepath.Join(dir, e.Name())
			if err := readFile(name, each); err != nil && !errors.Is(err, fs.ErrNotExist) { // a mail program may have moved it
				each(Item{Source: name, Err: withoutPath(err)})
			}
		}
	}
	if files == 0 {
		return errors.New("no file in this directory: name a file, or a Maildir with the directories cur and new")
	}
	return nil
}

func readFile(path string, each func(Item)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	Read(path, f, each)
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// withoutPath returns the reason of an error, which is shown behind the path.
func withoutPath(err error) error {
	if failed := new(fs.PathError); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
