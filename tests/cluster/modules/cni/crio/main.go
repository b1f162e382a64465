// Crio calls CNI as CRI-O does, which is by libcni: `crio COMMAND` with a
// request as JSON on standard input. It prints the result, or fails with the
// error's text.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

type request struct {
	ConfDir  string `json:"confDir"`
	BinDir   string `json:"binDir"`
	CacheDir string `json:"cacheDir"`
	Network  string `json:"network"`
	// Of one container.
	ContainerID  string         `json:"containerID"`
	Netns        string         `json:"netns"`
	Args         [][2]string    `json:"args"`
	Capabilities map[string]any `json:"capabilities"`
	// For gc: the containers that are still there; null is not the same as none.
	Valid []types.GCAttachment `json:"valid"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string) error {
	var r request
	if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
		return err
	}
	list, err := firstNamed(r.ConfDir, r.Network)
	if err != nil {
		return err
	}
	ctx := context.Background()
	cni := libcni.NewCNIConfigWithCacheDir(filepath.SplitList(r.BinDir), r.CacheDir, nil)
	rt := &libcni.RuntimeConf{
		ContainerID:    r.ContainerID,
		NetNS:          r.Netns,
		IfName:         "eth0",
		Args:           r.Args,
		CapabilityArgs: r.Capabilities,
	}
	switch command {
	case "version":
		capabilities, err := cni.ValidateNetworkList(ctx, list)
		if err != nil {
			return err
		}
		return printJSON(capabilities)
	case "status":
		return cni.GetStatusNetworkList(ctx, list)
	case "add":
		result, err := cni.AddNetworkList(ctx, list, rt)
		if err != nil {
			return err
		}
		return printJSON(result)
	case "check":
		return cni.CheckNetworkList(ctx, list, rt)
	case "del":
		return cni.DelNetworkList(ctx, list, rt)
	case "gc":
		return cni.GCNetworkList(ctx, list, &libcni.GCArgs{ValidAttachments: r.Valid})
	}
	return fmt.Errorf("unknown command %q", command)
}

// firstNamed is CRI-O's rule: the first file with that network's name wins.
func firstNamed(confDir, name string) (*libcni.NetworkConfigList, error) {
	files, err := libcni.ConfFiles(confDir, []string{".conflist"})
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		list, err := libcni.ConfListFromFile(file)
		if err == nil && list.Name == name {
			return list, nil
		}
	}
	return nil, fmt.Errorf("no network %q in %s", name, confDir)
}

func printJSON(value any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}
