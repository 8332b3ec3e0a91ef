// Package recognise tells from the beginning of a file what it is, so that an error about a file in an unexpected format
// can say which one it has: the format to set in the config, or a command that makes a list of it.
package recognise

import (
	"bytes"
	"slices"
	"strings"
)

type Kind struct {
	What    string   // for messages, such as "Spamhaus DROP in JSON"
	Formats []string // of the config that read it, the usual one first
	// Command makes a list of it, one entry a line, or undoes a compression. FILE stands for the name of the file.
	Command string
	Hint    string // what to do if there is neither, or if it is not certain
	// Misread: the format "addresses" takes it for a list of other clients than are meant.
	Misread bool
}

// HeadSize is how many bytes at the beginning of a file Recognise needs.
const HeadSize = 1 << 16

// maxLines is how many lines of them are examined.
const maxLines = 200

// Recognise returns what a file is that begins with head; false if it may be anything, as a plain list of addresses may.
func Recognise(head []byte) (Kind, bool) {
	for _, k := range binaries {
		if k.is(head) {
			return k.Kind, true
		}
	}
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	for _, k := range documents {
		if k.beginning.Match(head) && k.part.Match(head) {
			return k.Kind, true
		}
	}
	s := newSample(head)
	if len(s.lines) == 0 {
		return Kind{}, false
	}
	for i := range texts {
		if k := &texts[i]; k.matches(s) {
			return k.kindOf(s), true
		}
	}
	return Kind{}, false
}

// Reads reports whether a format of the config reads files of the kind.
func (k Kind) Reads(format string) bool { return slices.Contains(k.Formats, format) }

// CommandFor returns the command with the name of a file in it, for a shell.
func (k Kind) CommandFor(name string) string {
	return strings.ReplaceAll(k.Command, "FILE", Quote(name))
}

// Quote quotes a word for a shell, if it needs that.
func Quote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// sample is what a text begins with.
type sample struct {
	lines []string // without blank lines and comments
	all   []string
}

func newSample(head []byte) sample {
	var s sample
	lines := strings.SplitAfter(string(head), "\n")
	if len(head) >= HeadSize && len(lines) > 1 {
		lines = lines[:len(lines)-1] // it is cut
	}
	for _, line := range lines[:min(len(lines), maxLines)] {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		s.all = append(s.all, line)
		if line[0] != '#' && line[0] != ';' {
			s.lines = append(s.lines, line)
		}
	}
	return s
}
