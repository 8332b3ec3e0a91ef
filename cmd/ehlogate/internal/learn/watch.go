package learn

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// watchTime is the time between two looks at the files of [fallback] watch.
const watchTime = 5 * time.Second

// watch looks at files of the mail server until ctx ends: when its settings, its certificate or its library change, failures
// may be its own.
func (s *Service) watch(ctx context.Context) {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	for {
		stamps := map[string]string{}
		for _, pattern := range s.options.Watch {
			stamps[pattern] = stampFiles(pattern)
		}
		s.mu.Lock()
		s.stamps = stamps
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) currentStamps() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.stamps)
}

func (s *Service) takeReasons() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	reasons := s.reasons
	s.reasons = nil
	return reasons
}

// stampFiles returns what differs once one of the files that match a pattern was written, replaced, added or removed.
func stampFiles(pattern string) string {
	names, _ := filepath.Glob(pattern) // the config checked the pattern
	hash := sha256.New()
	for _, name := range names {
		fmt.Fprintf(hash, "%s\x00", name)
		if info, err := os.Stat(name); err == nil {
			inode := uint64(0)
			if st := new(unix.Stat_t); unix.Stat(name, st) == nil {
				inode = st.Ino
			}
			fmt.Fprintf(hash, "%d %d %d\x00", info.ModTime().UnixNano(), info.Size(), inode)
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:16])
}
