package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
)

func onFallback(e *exam) bool {
	return e.config.FindLearned(config.LearnFallback, lists.NoAction) != ""
}

// checkWatchAccess looks for files of [fallback] watch that the daemon cannot see: no change of them stops learning.
func (e *exam) checkWatchAccess() {
	u, ok := e.findServiceUser()
	if !ok {
		return
	}
	for _, pattern := range e.config.Learn.Watch {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			why := u.blockedFrom(e.ctx, "-e", name)
			if why == "" {
				continue
			}
			var advice []string
			for _, dir := range closedDirs(name) {
				advice = append(advice, "setfacl --modify user:"+u.name+":rx "+quoteShell(dir))
			}
			e.add(Warning, "watch-forbidden", e.configPlace("fallback.watch", pattern), fmt.Sprintf("the daemon cannot see %s: %s", name, why),
				fmt.Sprintf("It runs as user %s. When that file changes, fallback lists go on learning, although the mail server may be at fault. It needs no right to read the file, only its directories.", u.name),
				Write{shell, advice})
			break
		}
	}
}

// closedDirs returns the directories above a file, and above the file that it is a link to, which not every user may search.
func closedDirs(name string) (dirs []string) {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		target = name
	}
	for _, path := range []string{name, target} {
		for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
			if info, err := os.Stat(dir); err == nil && info.Mode()&0o001 == 0 && !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	slices.Sort(dirs)
	return dirs
}
