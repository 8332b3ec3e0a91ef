package export

import (
	"errors"
	"os"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
)

// Load returns the policy of a config, with its lists as they are on disk. Lists that are unavailable are errors.
func Load(cfg *config.Config, now time.Time) (p *Policy, errs []error) {
	if cfg.File == "" {
		return nil, []error{errors.New("no config file: name one with -c (the built-in defaults have no lists)")}
	}
	live := state.Load(cfg, func() time.Time { return now }).Snapshot()
	p = &Policy{Config: live.Config, Policy: live.Policy, Now: now}
	for _, s := range live.Sources {
		p.Sources = append(p.Sources, s.File)
	}
	return p, live.Unavailable()
}

// LastWritten returns the latest modification time of the config and of all list files. It skips files that are gone.
func (p *Policy) LastWritten() (last time.Time) {
	if info, err := os.Stat(p.Config.File); err == nil {
		last = info.ModTime()
	}
	for _, s := range p.Sources {
		if s == nil {
			continue
		}
		if t := s.Files().LastWritten(); t.After(last) {
			last = t
		}
	}
	return last
}
