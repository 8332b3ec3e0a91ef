package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/cmd/ehlogate/internal/replace"
)

// tableFile is a file that an export writes: that of -o, or behind it that of --networks.
type tableFile struct {
	replace.File              // as it was before the lists were read
	name, flag   string       // as the operator wrote them
	text         replace.Text // that it is to have
}

// pendingTime is the modification time of a table until its --then has succeeded. A run that is killed before COMMAND ends
// leaves it, so the next run repeats COMMAND.
var pendingTime = time.Unix(0, 0)

func isPending(table os.FileInfo) bool { return table != nil && table.ModTime().Equal(pendingTime) }

// findFiles finds the files to write; none without -o.
func (e *exportFlags) findFiles() (files []*tableFile, err error) {
	for _, f := range []*tableFile{{name: e.output, flag: "-o"}, {name: e.networks, flag: "--networks"}} {
		if f.name == "" {
			continue
		}
		if f.File, err = replace.Find(f.name); err != nil {
			return nil, err
		}
		if !f.IsRegular() && (e.ifChanged || e.then != "" || e.networks != "") {
			return nil, fmt.Errorf("%s is not a regular file: --if-changed, --then and --networks need one", f.name)
		}
		files = append(files, f)
	}
	if len(files) == 2 && filepath.Clean(files[0].Path) == filepath.Clean(files[1].Path) {
		return nil, errors.New("-o and --networks name the same file: the networks are a table of their own")
	}
	return files, nil
}

// writeNetworks writes the table of networks that belongs to a table of addresses.
func writeNetworks(ctx context.Context, p *export.Policy, out io.Writer) error {
	networks := *p
	networks.WithoutNetworks = false
	return networks.WriteTable(ctx, export.PostfixNetworks, out)
}

// policyError is why a table cannot express the policy.
type policyError struct{ error }

func (e policyError) Unwrap() error { return e.error }

// textOf returns the text of a table. Its error is a policyError, or one of writing.
func textOf(write func(io.Writer) error) replace.Text {
	return func(to io.Writer) error {
		out := bufio.NewWriter(to)
		err := write(out)
		if failed := out.Flush(); failed != nil {
			return failed
		}
		if err != nil {
			return policyError{err}
		}
		return nil
	}
}

// writeTables replaces the files, and runs --then.
func (e *exportFlags) writeTables(ctx context.Context, files []*tableFile, stdout, stderr io.Writer) error {
	if !files[0].IsRegular() {
		return files[0].WriteTo(files[0].text)
	}
	file, done, err := e.replaceTables(files, stdout)
	if err != nil {
		return err
	}
	defer file.Close()
	if done || e.then == "" {
		return nil
	}
	now := time.Now() // before COMMAND runs: what COMMAND makes of the table must not look older than the table
	err = execCommand(ctx, e.then, commandTimeout, stdout, stderr)
	wasReplaced, failed := markReplaced(file, files[0].Path)
	switch {
	case err != nil:
		return fmt.Errorf("%s is written, but %q failed, and the next export runs it again: %w", e.output, e.then, err)
	case failed != nil:
		return failed
	case wasReplaced:
		return errOutdated
	}
	return replace.SetModTime(file, now)
}

// markReplaced has COMMAND run again if another export has replaced the table meanwhile: its COMMAND may have ended first, so
// that this one has undone what it made of the new table.
func markReplaced(file *os.File, path string) (wasReplaced bool, err error) {
	if replace.IsAt(file, path) {
		return false, nil
	}
	now, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // COMMAND moved it
		return false, nil
	}
	if err != nil {
		return true, err
	}
	defer now.Close()
	return true, replace.SetModTime(now, pendingTime)
}

// replaceTables returns the file of -o with the table. done reports that all files had their tables before, and COMMAND has
// succeeded.
func (e *exportFlags) replaceTables(files []*tableFile, stdout io.Writer) (file *os.File, done bool, err error) {
	if e.ifChanged {
		same, pending, err := openSame(files)
		switch {
		case err != nil:
			return nil, false, err
		case same != nil && pending && e.then != "":
			fmt.Fprintf(stdout, "%s: the command after its last export did not succeed, and runs again\n", e.output)
			return same, false, nil
		case same != nil:
			return same, true, nil
		}
	}
	pending := e.then != "" || isPending(files[0].Info) // the mail server has not read what this table replaces
	if file, err = replaceAll(files, pending); err == nil && e.ifChanged {
		fmt.Fprintf(stdout, "%s: updated from the lists\n", e.output)
	}
	return file, false, err
}

// openSame opens the file of -o. It returns nil if a file has another table than it is to have. pending reports that --then has
// not succeeded.
func openSame(files []*tableFile) (same *os.File, pending bool, err error) {
	f, err := os.Open(files[0].Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	info, err := f.Stat()
	isSame := true
	for _, file := range files {
		if isSame && err == nil {
			isSame, err = file.isSame()
		}
	}
	if !isSame || err != nil {
		f.Close()
		return nil, false, err
	}
	return f, isPending(info), nil
}

// isSame reports whether the file has its text already.
func (f *tableFile) isSame() (bool, error) {
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	return f.text.EqualTo(bufio.NewReader(file))
}

// replaceAll writes all texts before the first one takes its place, and returns the file of -o. The networks come first: as soon
// as --then has made a database of the addresses, each smtpd starts anew, and reads the networks that belong to them.
// isPending gives the file of -o the time pendingTime.
func replaceAll(files []*tableFile, isPending bool) (first *os.File, err error) {
	var drafts []*replace.Draft
	defer func() {
		for i, d := range drafts {
			if err != nil || i > 0 {
				d.Drop()
			}
		}
	}()
	for i, f := range files {
		var modTime time.Time
		if isPending && i == 0 {
			modTime = pendingTime
		}
		d, err := f.Prepare(f.text, modTime)
		if err != nil {
			return nil, f.explain(err)
		}
		drafts = append(drafts, d)
	}
	for i, f := range files {
		if err := drafts[i].Check(); err != nil {
			return nil, f.explain(err)
		}
	}
	if len(files) > 1 && isPending && files[0].Info != nil { // if this process is killed between the two
		if err := os.Chtimes(files[0].Path, pendingTime, pendingTime); err != nil {
			return nil, files[0].explain(err)
		}
	}
	for i := len(files) - 1; i >= 0; i-- {
		if err := drafts[i].Commit(); err != nil {
			return nil, files[i].explain(err)
		}
	}
	return drafts[0].File, nil
}

// explain returns why the file was not replaced.
func (f *tableFile) explain(err error) error {
	var inexpressible policyError
	switch {
	case errors.Is(err, replace.ErrChanged):
		return errOutdated
	case errors.As(err, &inexpressible):
		return inexpressible.error
	case f.Info != nil:
		return fmt.Errorf("%s stays as it is: %w", f.name, err)
	default:
		return fmt.Errorf("cannot write %s: %w", f.name, err)
	}
}
