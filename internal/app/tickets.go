package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"pqfront/internal/atomicfile"
	"pqfront/internal/edge/viewertls"
)

// ticketStore keeps the ticket keys over a restart, so that viewers resume. The file is
// secret: whoever has a key reads the sessions that its tickets resume.
type ticketStore struct {
	path string
	keys *viewertls.TicketKeys
}

// openTickets reads the keys of an earlier run, those that still live. It makes one when
// none of them may seal any more.
func openTickets(state string, now time.Time, log *slog.Logger) (*ticketStore, error) {
	s := &ticketStore{path: filepath.Join(state, "ticket-keys.json")}
	text, err := os.ReadFile(s.path)
	var kept []viewertls.TicketKey
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("reading ticket keys: %w", err)
	default:
		if err := json.Unmarshal(text, &kept); err != nil {
			return nil, fmt.Errorf("%s is damaged (%w): remove it, sessions are then not resumed once", s.path, err)
		}
	}
	if s.keys, err = viewertls.LoadTicketKeys(kept, now); err != nil {
		log.Warn("some ticket keys of an earlier run are left out, their tickets are not resumed", "file", s.path, "err", err)
	}
	return s, s.save()
}

// save replaces the file as a whole.
func (s *ticketStore) save() error {
	text, err := json.Marshal(s.keys.Export())
	if err != nil {
		return err
	}
	return atomicfile.Write(s.path, append(text, '\n'), 0o600)
}
