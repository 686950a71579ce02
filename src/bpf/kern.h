/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel structures that the programs read, relocated by BTF (CO-RE), and constants that
 * old headers lack.
 */
#pragma once

#define __ksym_struct __attribute__((preserve_access_index))

struct kernfs_node {
	__u64 id;
} __ksym_struct;

struct cgroup {
	struct kernfs_node *kn;
	int level;
	struct cgroup *ancestors[0]; /* since 6.1, by level, itself the last */
} __ksym_struct;

struct cgroup___ids { /* as it was before */
	__u64 ancestor_ids[0];
} __ksym_struct;

struct sock_cgroup_data {
	struct cgroup *cgroup; /* since 5.15; before, a word that may hold two numbers instead */
} __ksym_struct;

struct net_device {
	int ifindex;
} __ksym_struct;

struct dst_entry {
	struct net_device *dev;
} __ksym_struct;

struct netns_ipv4 {
	__u8 sysctl_tcp_syn_retries;
	__u8 sysctl_tcp_syn_linear_timeouts; /* since 6.5 */
} __ksym_struct;

struct net {
	struct netns_ipv4 ipv4;
} __ksym_struct;

struct pp_net { /* possible_net_t, which has no name of its own */
	struct net *net;
} __ksym_struct;

struct pp_in6 { /* in6_addr, without its unions */
	__u8 addr[16];
};

struct sock_common {
	__be32 skc_daddr;
	struct pp_in6 skc_v6_daddr;
	__be16 skc_dport;
	__u16 skc_num; /* its own port, host order */
	unsigned short skc_family;
	unsigned char skc_state;
	struct pp_net skc_net;
} __ksym_struct;

struct socket;

struct sock {
	struct sock_common __sk_common;
	struct dst_entry *sk_dst_cache;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
	unsigned long sk_max_pacing_rate;
	int sk_rcvbuf;
	__u32 sk_max_ack_backlog;
} __ksym_struct;

struct pp_counter { /* atomic_t, which has no name of its own */
	int counter;
} __ksym_struct;

struct request_sock_queue {
	struct pp_counter qlen;
} __ksym_struct;

struct inet_connection_sock {
	struct request_sock_queue icsk_accept_queue;
	__u8 icsk_syn_retries; /* 0: as the network namespace has it */
} __ksym_struct;

struct minmax_sample {
	__u32 v;
} __ksym_struct;

struct minmax {
	struct minmax_sample s[3];
} __ksym_struct;

struct tcp_rcv_rtt {
	__u32 rtt_us;
} __ksym_struct;

struct tcp_sock {
	struct minmax rtt_min;
	__u8 bpf_sock_ops_cb_flags;
	__u32 mss_cache;
	__u32 srtt_us;
	__u32 max_window;
	__u32 window_clamp;
	__u16 advmss;
	struct tcp_rcv_rtt rcv_rtt_est; /* without a name of its own in the kernel */
} __ksym_struct;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
} __ksym_struct;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} __ksym_struct;

enum pp_kernel_constants {
	PP_LOOPBACK_IFINDEX = 1, /* the same in every network namespace */
	PP_SOL_SOCKET = 1,
	PP_SOCK_STREAM = 1,
	PP_SO_MAX_PACING_RATE = 47,
	PP_AF_INET6 = 10,
	PP_SOL_TCP = 6,
	PP_TCP_SYNCNT = 7,
	PP_TCP_WINDOW_CLAMP = 10,
	PP_TCP_BPF_IW = 1001,
	PP_TCP_BPF_SNDCWND_CLAMP = 1002,
	PP_TCP_BPF_SOCK_OPS_CB_FLAGS = 1008, /* since 6.12 */
	PP_TCP_ESTABLISHED = 1,
	PP_TCP_SYN_SENT = 2,
	PP_TCP_SYN_RECV = 3,
	PP_TCP_FIN_WAIT1 = 4,
	PP_TCP_FIN_WAIT2 = 5,
	PP_TCP_CLOSE = 7,
	PP_TCP_CLOSE_WAIT = 8,
	PP_TCP_LAST_ACK = 9,
	PP_TCP_LISTEN = 10,
	PP_UNLIMITED =
		0x7fffffff, /* a congestion window clamp or slow start threshold that never binds */
};
