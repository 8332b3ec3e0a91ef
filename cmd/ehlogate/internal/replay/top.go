package replay

import (
	"cmp"
	"slices"
)

// topClients keeps the clients with the largest values.
type topClients struct {
	n     int
	value func(Client) int64
	all   []Client
}

func newTop(n int, value func(Client) int64) *topClients { return &topClients{n: n, value: value} }

func (t *topClients) compare(a, b Client) int {
	return cmp.Or(cmp.Compare(t.value(b), t.value(a)), cmp.Compare(a.Addr, b.Addr))
}

func (t *topClients) add(c Client) {
	t.all = append(t.all, c)
	if len(t.all) > 2*t.n+1000 {
		t.all = slices.Clone(t.sorted())
	}
}

func (t *topClients) sorted() []Client {
	slices.SortFunc(t.all, t.compare)
	return t.all[:min(len(t.all), t.n)]
}
