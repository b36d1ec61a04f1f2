package viewerhttp

import "strings"

// h2Prio is what a viewer asked for (RFC 9218, Section 4).
type h2Prio struct {
	urgency uint8 // 0 is the most urgent
	// incremental streams share the connection; of the others the first one gets all.
	incremental bool
}

// h2NoPrio is for a viewer that asked for nothing: the default urgency, but shared.
//
// Deviation: RFC 9218, Section 4.2 makes false the default of incremental. Clients
// that know priorities say so in every request; those that do not (many libraries
// put all requests of a program on one connection) would see a small answer wait
// for the end of a large one that was asked for before. Section 10 leaves that to us.
var h2NoPrio = h2Prio{urgency: 3, incremental: true}

// parsePriority reads a priority field: a dictionary (RFC 8941, Section 3.2) of
// which only "u" and "i" count (RFC 9218, Section 4). Members of other types or
// out of range are ignored; ok is false when there is no telling what was meant.
func parsePriority(s string) (p h2Prio, ok bool) {
	p = h2Prio{urgency: 3}
	if strings.Trim(s, " \t") == "" {
		return p, true // an empty dictionary: the viewer knows priorities and wants the defaults
	}
	for member := range strings.SplitSeq(s, ",") {
		member, _, _ = strings.Cut(strings.Trim(member, " \t"), ";") // parameters have no meaning
		key, value, has := strings.Cut(strings.TrimRight(member, " "), "=")
		if key == "" || key[0] != '*' && (key[0] < 'a' || key[0] > 'z') {
			return h2NoPrio, false
		}
		switch {
		case key == "u" && len(value) == 1 && '0' <= value[0] && value[0] <= '7':
			p.urgency = value[0] - '0'
		case key == "i" && (!has || value == "?1"):
			p.incremental = true
		case key == "i" && value == "?0":
			p.incremental = false
		}
	}
	return p, true
}

// nextH2Stream picks the stream that sends the next frame. Lower urgency values go
// first. Within one urgency the incremental streams take turns, and the first of
// the others has one turn among them, so that neither kind starves (RFC 9218,
// Section 10).
func nextH2Stream(ready []*h2Stream) *h2Stream {
	var first, shared *h2Stream // of the most urgent
	urgency := uint8(255)
	for _, st := range ready {
		if st.prio.urgency > urgency {
			continue
		}
		if st.prio.urgency < urgency {
			urgency, first, shared = st.prio.urgency, nil, nil
		}
		switch {
		case st.prio.incremental:
			if shared == nil || st.turn < shared.turn || st.turn == shared.turn && st.id < shared.id {
				shared = st
			}
		case first == nil || st.id < first.id:
			first = st
		}
	}
	if first == nil || shared != nil && shared.turn < first.turn {
		return shared
	}
	return first
}
