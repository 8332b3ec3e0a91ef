package lists

// Hidden are EHLO keywords that lists hide from a client, besides STARTTLS.
type Hidden struct {
	// Keywords are those to hide. It has none of a list that observes, and none if the policy as a whole observes.
	Keywords Keywords
	// By has the verdicts of the lists that match and hide keywords, in the order of the config, observing or not.
	By []Verdict
}

// add returns h with one more list. h may be nil.
func (h *Hidden) add(v Verdict) *Hidden {
	if h == nil {
		h = new(Hidden)
	}
	h.By = append(h.By, v)
	if v.List.Mode == Enforce {
		h.Keywords |= v.List.Hide
	}
	return h
}

// observed returns h as it is if the policy as a whole observes.
func (h *Hidden) observed() *Hidden {
	if h == nil {
		return nil
	}
	return &Hidden{By: h.By}
}

// HidesAny reports whether an EHLO keyword is hidden from the client, STARTTLS or another.
func (d *Decision) HidesAny() bool { return d.Action == Suppress || d.Hide() != 0 }

// Hide returns the EHLO keywords to hide besides STARTTLS.
func (d *Decision) Hide() Keywords {
	if d.Hidden == nil {
		return 0
	}
	return d.Hidden.Keywords
}
