package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"pqfront/internal/sigv4"
)

// maxCredentialsFile is far more than anybody's profiles take.
const maxCredentialsFile = 1 << 20

// EnvCredentials returns a provider that looks where AWS's own tools look first:
// AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, then the profile
// AWS_PROFILE ("default") of AWS_SHARED_CREDENTIALS_FILE (home/.aws/credentials). The
// file is read again when it changes, so that rotated keys are picked up. Roles, SSO and
// instance metadata are not asked.
func EnvCredentials(getenv func(string) string, home string) func(context.Context) (sigv4.Credentials, error) {
	if id, secret := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"); id != "" || secret != "" {
		c := sigv4.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: getenv("AWS_SESSION_TOKEN")}
		var err error
		if id == "" || secret == "" {
			err = errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")
		}
		return func(context.Context) (sigv4.Credentials, error) { return c, err }
	}
	f := &credentialsFile{path: getenv("AWS_SHARED_CREDENTIALS_FILE"), profile: getenv("AWS_PROFILE")}
	if f.path == "" {
		f.path = filepath.Join(home, ".aws", "credentials")
	}
	if f.profile == "" {
		f.profile = "default"
	}
	return f.get
}

// credentialsFile is a profile of a shared credentials file.
type credentialsFile struct {
	path, profile string

	mu      sync.Mutex
	size    int64
	changed time.Time
	cred    sigv4.Credentials
	err     error
}

func (f *credentialsFile) get(context.Context) (sigv4.Credentials, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return sigv4.Credentials{}, fmt.Errorf("%w: no keys in the environment and no file %s", errNoCredentials, f.path)
	}
	if err != nil {
		return sigv4.Credentials{}, fmt.Errorf("reading AWS credentials: %w", err)
	}
	if info.Size() > maxCredentialsFile {
		return sigv4.Credentials{}, fmt.Errorf("reading AWS credentials: %s is larger than 1 MiB", f.path)
	}
	if info.Size() == f.size && info.ModTime().Equal(f.changed) {
		return f.cred, f.err
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return sigv4.Credentials{}, fmt.Errorf("reading AWS credentials: %w", err)
	}
	f.size, f.changed = info.Size(), info.ModTime()
	f.cred, f.err = profile(string(raw), f.profile)
	if f.err != nil {
		f.err = fmt.Errorf("%s: %w", f.path, f.err)
	}
	return f.cred, f.err
}

// profile finds the keys of one profile in the text of a credentials file.
func profile(text, name string) (sigv4.Credentials, error) {
	var c sigv4.Credentials
	inside, found := false, false
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section, _, _ := strings.Cut(line[1:], "]")
			inside = strings.TrimSpace(section) == name
			found = found || inside
		case inside:
			key, value, _ := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "aws_access_key_id":
				c.AccessKeyID = value
			case "aws_secret_access_key":
				c.SecretAccessKey = value
			case "aws_session_token":
				c.SessionToken = value
			}
		}
	}
	if err := lines.Err(); err != nil {
		return sigv4.Credentials{}, err
	}
	if !found {
		return sigv4.Credentials{}, fmt.Errorf("%w: no profile [%s]", errNoCredentials, name)
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return sigv4.Credentials{}, fmt.Errorf("%w: profile [%s] needs aws_access_key_id and aws_secret_access_key", errNoCredentials, name)
	}
	return c, nil
}
