package config

import (
	"fmt"
	"path/filepath"
)

// stateFile is a file that ehlogate writes.
type stateFile struct{ key, path string }

// stateFiles returns the state files of a config.
func (c *Config) stateFiles() []stateFile {
	return []stateFile{{"guard.state", c.Guard.State}, {"logs.state", c.Logs.State}, {"learn.state", c.Learn.State}, {"tlsrpt.state", c.TLSRPT.State},
		{"edits.journal", c.Edits.Journal}, {"edits.used", c.Edits.Used}}
}

// checkStates refuses a state file that is something else, too: ehlogate would replace it.
func (p *parser) checkStates(c *Config) {
	const hint = "write the path of a file that nothing else uses: ehlogate would replace what is in it"
	states := c.stateFiles()
	for i, s := range states {
		if s.path == "" {
			continue
		}
		path := filepath.Clean(s.path)
		for _, other := range states[:i] {
			if other.path == "" || filepath.Clean(other.path) != path {
				continue
			}
			at := s.key
			if _, isSet := p.positions[at]; !isSet {
				at = other.key // then the other one was set to its default
			}
			p.addProblem(at, fmt.Sprintf("%s and %s are the same file, %s", other.key, s.key, path), hint)
		}
		for _, pattern := range c.readFiles() {
			if is, _ := filepath.Match(pattern, path); is || pattern == path {
				p.addProblem(s.key, fmt.Sprintf("%s is a file that ehlogate reads, as the config says elsewhere", path), hint)
				break
			}
		}
	}
}

// readFiles returns the paths and patterns of the files that ehlogate only reads.
func (c *Config) readFiles() []string {
	all := append([]string{}, c.Logs.Files...)
	all = append(all, c.Learn.Never.Patterns...)
	all = append(all, c.Learn.Watch...)
	if c.Limit != nil && c.Limit.PressureFile != "" {
		all = append(all, c.Limit.PressureFile)
	}
	for i := range c.Lists {
		all = append(all, c.Lists[i].Spec.Patterns...)
	}
	return all
}
