package page

import (
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// document returns the page as HTML. A text and an attribute are escaped when they are written; the style alone is not.
func (v *view) document() g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("robots"), h.Content("noindex")),
			h.TitleEl(g.Text(v.Health.Text+" - ehlogate")),
			h.StyleEl(g.Raw(style)),
		),
		h.Body(
			h.Header(h.H1(g.Text("ehlogate")), h.P(h.Class("version"), g.Text(v.Version)), v.Search.form()),
			h.Main(v.Search.result(), v.Health.section(), v.sessions(), g.Map(v.Sections, section.node)),
			v.footer(),
		),
	))
}

func (s *search) form() g.Node {
	var invalid g.Group
	if s.Error != "" {
		invalid = g.Group{h.Aria("invalid", "true"), h.Aria("describedby", "client-error")}
	}
	return h.Form(h.Action("/"), h.Method("get"), h.Role("search"),
		h.Label(h.For("client"), g.Text("Client address")),
		h.Input(h.ID("client"), h.Name("client"), h.Type("text"), g.Attr("inputmode", "text"), h.AutoComplete("off"), g.Attr("autocapitalize", "none"),
			g.Attr("spellcheck", "false"), h.MaxLength(strconv.Itoa(maxClient)), h.Placeholder("192.0.2.7"), h.Value(s.Client), invalid),
		h.Button(h.Type("submit"), g.Text("Explain")))
}

func (s *search) result() g.Node {
	switch {
	case s.Error != "":
		return h.P(h.ID("client-error"), h.Class("error"), h.Role("alert"), g.Text(s.Error))
	case s.Title == "":
		return nil
	}
	return titledSection("found", "", h.Span(h.Class(s.Action), g.Text(s.Title)), h.Dl(g.Map(s.Rows, foundRow.node)), more(s.More))
}

func (r foundRow) node() g.Node {
	var label, rows g.Node
	if r.Label != "" {
		label = h.Dt(g.Text(r.Label))
	}
	if r.Table != nil {
		rows = r.Table.node()
	}
	return g.Group{label, h.Dd(g.Text(r.Text), rows)}
}

func (s *health) section() g.Node {
	var reasons, notes g.Node
	if len(s.Reasons) > 0 {
		reasons = h.Ul(g.Map(s.Reasons, reason.node))
	}
	if len(s.Notes) > 0 {
		notes = g.Group{h.H3(g.Text("Worth a look")), h.Ul(g.Map(s.Notes, reason.node))}
	}
	return titledSection("health", "health "+s.State, sign(s.State, s.Text), reasons, more(s.More), notes)
}

func (r reason) node() g.Node {
	var since, do g.Node
	if r.Age.Text != "" {
		since = h.Span(h.Class("since"), g.Text("("), h.Time(h.DateTime(r.Age.Time.Format(time.RFC3339)), g.Text(r.Age.Text)), g.Text(")"))
	}
	if r.Do != "" {
		do = h.P(h.Class("do"), g.Text(r.Do))
	}
	return h.Li(h.P(g.Text(r.What+" "), since), do)
}

func (v *view) sessions() g.Node {
	return titledSection("sessions", "", g.Text("Last 24 hours"),
		h.Dl(h.Class("figures"), g.Map(v.Figures, func(f figure) g.Node { return h.Div(h.Dt(g.Text(f.Name)), h.Dd(g.Text(f.Value))) })),
		v.Chart.node(),
		h.Details(h.Summary(g.Text("In numbers")), v.Chart.Table.node()),
		h.P(h.Class("hint"), g.Text("A session is a lookup of a mail server that changes its EHLO reply; with Exim it is one for each EHLO. Counted since the start of ehlogate.")))
}

func (c *chart) node() g.Node {
	return h.Figure(
		h.SVG(g.Attr("viewBox", "0 0 2400 100"), g.Attr("preserveAspectRatio", "none"), h.Role("img"), h.Aria("label", "Sessions by hour: "+c.Total), g.Map(c.Bars, bar.node)),
		h.Div(h.Class("axis"), g.Map(c.Labels, func(label string) g.Node { return h.Span(g.Text(label)) }), h.Span(g.Text("now"))),
		h.FigCaption(h.Span(h.Class("key all"), g.Text("sessions")), g.Text(" "), h.Span(h.Class("key hidden"), g.Text("STARTTLS hidden")), g.Text(" "),
			h.Span(h.Class("most"), g.Text("most in an hour: "+c.Most))))
}

func (b bar) node() g.Node {
	rect := func(class string, y, width, height int) g.Node {
		return g.El("rect", h.Class(class), g.Attr("x", strconv.Itoa(b.X)), g.Attr("y", strconv.Itoa(y)), g.Attr("width", strconv.Itoa(width)), g.Attr("height", strconv.Itoa(height)))
	}
	return g.El("g", g.El("title", g.Text(b.Title)), rect("hour", 0, barWidth, 100), rect("all", b.Top, shownWidth, b.Height), rect("hidden", b.HiddenTop, shownWidth, b.HiddenOf))
}

func (s section) node() g.Node {
	var lead g.Node
	if len(s.Lead) > 0 {
		lead = h.P(g.Text(strings.Join(s.Lead, " ")))
	}
	return titledSection(s.ID, "", g.Text(s.Title), lead, g.Map(s.Tables, (*table).node))
}

func (t *table) node() g.Node {
	return g.Group{
		h.Div(h.Class("scroll"), h.Role("region"), h.Aria("label", t.Caption), h.TabIndex("0"),
			h.Table(h.Caption(g.Text(t.Caption)),
				h.THead(h.Tr(g.Map(t.Columns, func(c column) g.Node { return h.Th(h.Scope("col"), class(c.Class), g.Text(c.Name)) }))),
				h.TBody(g.Map(t.Rows, t.row)))),
		more(t.More),
	}
}

// row has a heading in its first cell.
func (t *table) row(cells []cell) g.Node {
	var row g.Group
	for i, c := range cells {
		if i == 0 {
			row = append(row, h.Th(h.Scope("row"), class(t.Columns[i].Class), c.node()))
		} else {
			row = append(row, h.Td(class(t.Columns[i].Class), c.node()))
		}
	}
	return h.Tr(row)
}

func (c cell) node() g.Node {
	text := g.Text(c.Text)
	switch {
	case c.State != "":
		text = sign(c.State, c.Text)
	case !c.Time.IsZero():
		text = moment(c.Time, c.Text)
	}
	return g.Group{text, g.Map(c.Lines, func(line string) g.Node { return h.Div(g.Text(line)) })}
}

func (v *view) footer() g.Node {
	var unused g.Node
	if len(v.Unused) > 0 {
		unused = h.P(g.Text("Not in use: " + strings.Join(v.Unused, ", ") + "."))
	}
	link := func(path string) g.Node { return h.A(h.Href(path), g.Text(path)) }
	return h.Footer(unused, h.P(g.Text("As of "), moment(v.Now, v.Now.Format(timeLayout)),
		g.Text(". Read-only; reload the page to see more. The same for programs: "), link("/healthz"), g.Text(", "), link("/metrics"), g.Text(", "), link("/api/v1/lists"), g.Text(".")))
}

// titledSection returns a section with a heading.
func titledSection(id, classes string, title g.Node, content ...g.Node) g.Node {
	return h.Section(h.ID(id), class(classes), h.Aria("labelledby", id+"-title"), h.H2(h.ID(id+"-title"), title), g.Group(content))
}

// class returns an attribute; nil if there is no class.
func class(name string) g.Node {
	if name == "" {
		return nil
	}
	return h.Class(name)
}

// sign returns a text with the sign of a state of /healthz.
func sign(name, text string) g.Node { return h.Span(h.Class("state "+name), g.Text(text)) }

const timeLayout = "2006-01-02 15:04:05 -0700"

func moment(t time.Time, text string) g.Node {
	return h.Time(h.DateTime(t.Format(time.RFC3339)), h.Title(t.Format(timeLayout)), g.Text(text))
}

// more says how much has no space.
func more(n int) g.Node {
	if n == 0 {
		return nil
	}
	return h.P(h.Class("more"), g.Text("and "+strconv.Itoa(n)+" more"))
}
