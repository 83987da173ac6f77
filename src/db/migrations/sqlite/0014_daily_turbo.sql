ALTER TABLE `attempts` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `audit_subjects` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `outbox_messages` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `webhook_endpoints` ADD `bound_mac` blob;--> statement-breakpoint
ALTER TABLE `approvals` ADD `bound_mac` blob;