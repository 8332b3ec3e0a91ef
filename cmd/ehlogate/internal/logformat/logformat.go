// Package logformat writes the lines of the log: as text for readers, or as JSON, one object a line, for programs.
//
// Both have the same fields, which README.md lists, but for a place in a file: in JSON it is the fields file, line and
// column, in text one field "at", as editors take it.
package logformat

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"

	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/printable"
)

// New returns a formatter. What is not visible is escaped, since clients and authors of feeds can put it into a line.
func New(asJSON bool) logrus.Formatter {
	if asJSON {
		return &jsonLines{logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano, DisableHTMLEscape: true}}
	}
	return &textLines{logrus.TextFormatter{FullTimestamp: true, DisableColors: true}}
}

type jsonLines struct{ logrus.JSONFormatter }

// Format implements logrus.Formatter.
func (f *jsonLines) Format(e *logrus.Entry) ([]byte, error) {
	valid := *e // JSON has no invalid UTF-8
	valid.Data, valid.Message = maps.Clone(e.Data), showInvalid(e.Message)
	for k, v := range valid.Data {
		switch v := v.(type) {
		case string:
			valid.Data[k] = showInvalid(v)
		case error:
			valid.Data[k] = showInvalid(v.Error())
		}
	}
	line, err := f.JSONFormatter.Format(&valid)
	return printable.EscapeJSON(line), err
}

func showInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return printable.Escape(s)
}

type textLines struct{ logrus.TextFormatter }

// Format implements logrus.Formatter.
func (f *textLines) Format(e *logrus.Entry) ([]byte, error) {
	joined := *e
	if file, ok := e.Data["file"]; ok {
		at := fmt.Sprint(file)
		joined.Data = maps.Clone(e.Data)
		for _, k := range []string{"line", "column"} {
			if n, ok := e.Data[k]; ok {
				at += fmt.Sprint(":", n)
			}
			delete(joined.Data, k)
		}
		delete(joined.Data, "file")
		joined.Data["at"] = at
	}
	line, err := f.TextFormatter.Format(&joined)
	text := bytes.TrimSuffix(line, []byte("\n"))
	return append([]byte(printable.Escape(string(text))), '\n'), err
}

// Place returns the fields for a place in a file. A line or column of 0 is not known.
func Place(file string, line, column int) logrus.Fields {
	f := logrus.Fields{}
	if file != "" {
		f["file"] = file
	}
	if line > 0 {
		f["line"] = line
	}
	if column > 0 {
		f["column"] = column
	}
	return f
}

// LogProblems logs each problem in err on a line of its own, then msg. An error that is no problem in a file is in the line
// of msg.
func LogProblems(log *logrus.Entry, err error, msg string) {
	var all diag.Problems
	var unread filewatch.ReadError
	switch {
	case all.AddError(err):
		for _, p := range all.First {
			withProblem(log, p).Error(p.Message())
		}
		log.WithField("problems", all.Total).Error(msg)
	case errors.As(err, &unread):
		withProblem(log, unread.Problem).WithField("error", unread.Message()).Error(msg)
	default:
		log.WithError(err).Error(msg)
	}
}

// LogSkipped warns of the lines of a feed that were skipped, with the place of the first one and why.
func LogSkipped(log *logrus.Entry, skipped diag.Problems) {
	if skipped.Total > 0 {
		first := skipped.First[0]
		withProblem(log, first).WithField("skipped", skipped.Total).Warn("lines of the feed skipped; the first: " + first.Message())
	}
}

func withProblem(log *logrus.Entry, p diag.Problem) *logrus.Entry {
	log = log.WithFields(Place(p.File, p.Line, p.Column()))
	if hint := p.Advice(); hint != "" {
		log = log.WithField("hint", hint)
	}
	return log
}
