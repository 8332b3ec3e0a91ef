package reload

import "fmt"

// Unavailable returns an error for each list of files that could not be loaded, or whose files are too old.
func (l *Live) Unavailable() (errs []error) {
	for list, s := range l.Files() {
		switch state := s.State(); {
		case state.Fault() != nil:
			errs = append(errs, state.Fault())
		case state.Stale:
			errs = append(errs, fmt.Errorf("list %q counts as not loaded: its files are older than stale_after = %v allows", list.Name, list.Spec.StaleAfter))
		}
	}
	return errs
}
