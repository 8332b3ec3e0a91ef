package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ehlogate/cmd/ehlogate/internal/export"
)

func newExport(o *options) *cobra.Command {
	var format, output string
	var withoutNames, withoutDNS bool
	cmd := &cobra.Command{
		Use:   "export --format postfix-cidr",
		Short: "Write the policy as a static table",
		Long: `Writes the whole policy (holes, order of the lists, default) as a static table
with identical decisions, for what cannot or should not ask the daemon: the
backup behind a memcache map, and postscreen.

A table that the policy cannot be put into is refused, with what is in the way:
a list that is not loaded, entries about host or HELO names (--without-names
leaves those out), lists by DNS and default = "shed" (--without-dns decides as
if no list by DNS answered, so that an allow list among them has everybody
offered STARTTLS whom no list before it holds). A table does not learn of a
promise that a domain makes later, so with [guard] domains it suppresses by your
own list files only. Entries with until= are looked at as of now; the table says
until when it is exact.

A running smtpd does not notice a changed table: end with "postfix reload".`,
		Example: "  ehlogate export --format postfix-cidr -o /etc/postfix/ehlogate.cidr && postfix reload",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "postfix-cidr" {
				return fmt.Errorf("--format %q is not known: write --format postfix-cidr", format)
			}
			now := time.Now()
			eng, broken, err := o.snapshot(cmd.ErrOrStderr(), func() time.Time { return now })
			if err != nil {
				return err
			}
			if broken {
				return exitError{exitWrong, fmt.Errorf("nothing is exported, since a list could not be loaded")}
			}
			live := eng.Live()
			var table bytes.Buffer
			p := export.Policy{Config: live.Config, Policy: live.Policy, Now: now, WithoutNames: withoutNames, WithoutDNS: withoutDNS}
			for _, s := range live.Sources {
				p.Sources = append(p.Sources, s.File)
			}
			if err := p.PostfixCIDR(cmd.Context(), &table); err != nil {
				return exitError{exitWrong, err}
			}
			if output == "" {
				_, err = table.WriteTo(cmd.OutOrStdout())
			} else {
				err = replaceFile(output, table.Bytes())
			}
			if err != nil {
				return exitError{exitWrong, err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "`FORMAT` of the table: postfix-cidr")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, replacing it in one step, instead of standard output")
	cmd.Flags().BoolVar(&withoutNames, "without-names", false, "leave out entries about host and HELO names")
	cmd.Flags().BoolVar(&withoutDNS, "without-dns", false, "decide as if no list by DNS answered")
	return cmd
}

// replaceFile writes a file that readers see whole, the old or the new. Mode
// and owner are those of the file before; a new one is readable for all. A link
// is followed, and what is no regular file, such as /dev/stdout, written to.
func replaceFile(name string, data []byte) (err error) {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	mode, uid, gid := os.FileMode(0o644), -1, -1
	if info, err := os.Stat(name); err == nil {
		if info.IsDir() {
			return fmt.Errorf("%s is a directory", name)
		}
		if !info.Mode().IsRegular() {
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.Write(data)
			return errors.Join(err, f.Close())
		}
		mode = info.Mode().Perm()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chown(uid, gid); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
