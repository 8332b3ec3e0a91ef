package reload

import "fmt"

// Unavailable returns an error for each list of files that could not be loaded, or whose files are too old.
func (l *Snapshot) Unavailable() (errs []error) {
	for list, s := range l.Files() {
		switch state := s.Status(); {
		case state.Fault() != nil:
			errs = append(errs, state.Fault())
		case state.Expired:
			errs = append(errs, fmt.Errorf("list %q counts as not loaded: its files are older than expire_after = %v allows", list.Name, list.Spec.ExpireAfter))
		}
	}
	return errs
}
