package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/diag"
)

// checkSockets checks whether serve could open the addresses in [listen]. What depends on the service manager is a
// warning: it passes sockets, and makes directories.
func (c *checker) checkSockets(cfg *config.Config) {
	if c.elsewhere {
		return
	}
	var wrong diag.Problems
	warned := c.lint.Warnings.Total
	count := 0
	var unchecked []string
	for _, protocol := range config.Protocols {
		for _, addr := range cfg.Listen.Addresses[protocol] {
			count++
			err := server.Precheck(addr, server.SocketOptions{Group: cfg.Listen.SocketGroup, Mode: cfg.Listen.SocketMode}, programName)
			if err == nil {
				continue
			}
			if _, ok := errors.AsType[server.UnseenListenerError](err); ok {
				unchecked = append(unchecked, err.Error())
				continue
			}
			p := diag.Problem{File: cfg.File, Msg: "[listen] " + protocol + ": " + err.Error()}
			missing, isMissing := errors.AsType[server.MissingDirError](err)
			switch {
			case !cfg.Listen.Explicit:
				p.File, p.Hint = config.DefaultFile, "without [listen] this is an error only if systemd passes no sockets"
				c.lint.Warnings.Add(p)
			case isMissing && mayBeMade(missing.Dir):
				p.Hint = "if systemd makes the directory (ListenStream=, RuntimeDirectory=), start that unit first"
				c.lint.Warnings.Add(p)
			default:
				wrong.Add(p)
			}
		}
	}
	if wrong.Total > 0 {
		c.addError(&wrong)
	} else if cfg.Listen.Explicit && c.lint.Warnings.Total == warned {
		more := ""
		switch {
		case os.Geteuid() == 0:
			more = " (not checked: the rights of the user that serve runs as)"
		case len(unchecked) > 0:
			more = fmt.Sprintf(" (not checked, only root can: %s)", strings.Join(unchecked, ", "))
		}
		fmt.Fprintf(c.out, "listen: fine, %s%s\n", formatCount(count, "address", "addresses"), more)
	}
	c.checkState(cfg)
}

// programName is the name of the process of a running daemon.
const programName = "ehlogate"

// mayBeMade reports whether the service manager may make a directory when it starts a unit.
func mayBeMade(dir string) bool {
	return dir == config.InheritedDir || strings.HasPrefix(dir+"/", "/run/") || strings.HasPrefix(dir+"/", "/var/run/")
}

// checkState warns of state files that cannot be written: serve does without them. The unit makes the default directory.
func (c *checker) checkState(cfg *config.Config) {
	for _, state := range []struct {
		used                  bool
		section, name, effect string
	}{
		{len(cfg.Guard.Domains) > 0 && cfg.Guard.State != config.DefaultState, "guard", cfg.Guard.State, "commitments to STARTTLS are forgotten at a restart"},
		{!cfg.Logs.IsEmpty() && cfg.Logs.State != config.DefaultLogsState, "logs", cfg.Logs.State, "lines that come while ehlogate does not run are not read"},
		{cfg.Learns() && cfg.Learn.State != config.DefaultLearnState, "learn", cfg.Learn.State, "lists learn nothing"},
	} {
		if !state.used || state.name == "" {
			continue
		}
		if fi, err := os.Stat(filepath.Dir(state.name)); err != nil || !fi.IsDir() {
			c.lint.Warnings.Add(diag.Problem{
				File: cfg.File, Msg: fmt.Sprintf("[%s] state: directory %s does not exist: %s", state.section, filepath.Dir(state.name), state.effect),
				Hint: "create it, owned by the user of ehlogate",
			})
		}
	}
}
