ALTER TABLE `tenant_settings` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `totp_devices` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `otp_addresses` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `otp_challenges` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `temporary_passes` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `challenges` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `webauthn_ceremonies` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `ip_whitelist` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `risk_policies` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `risk_histories` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `risk_decisions` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `enforcement_rules` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `enforcement_deadlines` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `assertions` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `trusted_devices` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `push_devices` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `push_challenges` ADD `bound_mac` blob;