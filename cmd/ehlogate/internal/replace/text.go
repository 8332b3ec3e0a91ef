package replace

import (
	"bytes"
	"errors"
	"io"
)

// Text writes the text of a file, the same each time. So a text of any length takes no memory.
type Text func(io.Writer) error

// Bytes returns a text that is in memory.
func Bytes(text []byte) Text {
	return func(out io.Writer) error {
		_, err := out.Write(text)
		return err
	}
}

// EqualTo reports whether a file has the text.
func (text Text) EqualTo(file io.Reader) (bool, error) {
	c := comparer{file: file}
	switch err := text(&c); {
	case errors.Is(err, errDiffers):
		return false, nil
	case err != nil:
		return false, err
	}
	switch n, err := io.ReadFull(file, make([]byte, 1)); {
	case n > 0:
		return false, nil
	case err != io.EOF:
		return false, err
	}
	return true, nil
}

var errDiffers = errors.New("the file has another text")

// comparer compares what is written to it with a file.
type comparer struct {
	file io.Reader
	buf  []byte
}

func (c *comparer) Write(text []byte) (int, error) {
	if len(c.buf) < len(text) {
		c.buf = make([]byte, len(text))
	}
	n, err := io.ReadFull(c.file, c.buf[:len(text)])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, err
	}
	if !bytes.Equal(c.buf[:n], text) {
		return 0, errDiffers
	}
	return len(text), nil
}
